"""What ``scripts/bench`` measures: ours and the alternatives, side by side, in one run."""
