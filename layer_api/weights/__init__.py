"""What a weight with a distribution is."""
