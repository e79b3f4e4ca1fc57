"""What a run has come to: a page to read, and its status while it works. Nothing here changes a study."""
