"""What the server kept for a person to label: read, put in the order of review, and labelled."""
