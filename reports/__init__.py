"""What every report shares: its page, its drawings."""
