"""Independent references: each published loss in plain float64 torch, written from the papers and not from the core."""
