"""Requests and responses, whatever their shape and transport."""
