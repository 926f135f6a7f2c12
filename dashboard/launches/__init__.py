"""What operates a launch: ramp plans, and guards that stop a candidate."""
