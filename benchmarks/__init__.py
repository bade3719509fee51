"""Speed, as ratios to a floor measured in the same run. No test depends on these."""
