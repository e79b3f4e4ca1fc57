"""The whole configuration: its schema, and reading it from YAML files and options."""
