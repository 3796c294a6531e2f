"""From a fitted model to what a user came for: draws, intervals, uncertainty and scores."""
