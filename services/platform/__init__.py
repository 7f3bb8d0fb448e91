"""What every program stands on, without a word of any one service."""
