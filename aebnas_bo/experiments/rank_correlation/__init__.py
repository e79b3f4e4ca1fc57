"""Whether the supernet ranks architectures as training each of them alone does."""
