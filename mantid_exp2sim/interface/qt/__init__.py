"""The widgets of the window: all that needs Qt."""
