"""Report page and status of a run; read-only access to the study."""
