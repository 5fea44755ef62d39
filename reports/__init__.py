"""What all reports share: the page layout and the style of plots."""
