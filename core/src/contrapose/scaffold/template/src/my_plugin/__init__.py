"""my_modality for contrapose."""
