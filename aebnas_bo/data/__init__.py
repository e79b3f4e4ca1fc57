"""Images in memory, frozen splits, batched transforms."""
