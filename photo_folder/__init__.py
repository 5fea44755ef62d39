"""Folders of photos as people have them: every command that reads one reads it by this code; nothing is decoded."""
