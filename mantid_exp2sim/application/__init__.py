"""What a user asks of a model, put together from inference and the domain of application."""
