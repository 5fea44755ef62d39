"""Tests: unit, integration, e2e and image, each mirroring the packages."""
