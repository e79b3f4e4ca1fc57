"""Confidence, exit rule, and accuracy and cost at given thresholds; tensors only."""
