"""A plugin to begin with: ``template/`` is a whole one, and ``new.py`` writes it under another name."""
