"""Live figures of a run for TensorBoard, MLflow and trackers of users."""
