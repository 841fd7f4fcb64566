"""Pictures of clouds and meshes, as views of the modality ``image``, and clips of them."""
