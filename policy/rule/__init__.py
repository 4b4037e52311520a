"""The update rule: pure functions of tensors, from a gradient and a loss to new weights."""
