"""An app of somebody else's, installed beside the project where a test needs slow or broken handlers."""
