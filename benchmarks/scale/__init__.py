"""From one core to many hosts: the figures of docs/scale.md, measured and modelled."""
