"""Labels that are probably wrong, and photos unlike their class: found, shown and mended without losing a file."""
