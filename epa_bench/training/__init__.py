"""Training on transformers.Trainer: the supervised stage, and preference losses over the plan."""
