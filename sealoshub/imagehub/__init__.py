"""The resources of the hub: types, names, rights, manifests and their installation."""
