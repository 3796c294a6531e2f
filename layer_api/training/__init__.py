"""What governs the training of a variational network."""
