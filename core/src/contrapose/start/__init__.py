"""First steps: look at data of one's own, draft a config for them, check the installation."""
