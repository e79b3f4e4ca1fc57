"""Configuration: schema, and loading from YAML files and options."""
