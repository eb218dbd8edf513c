"""Bad input of a training by hand."""


class ConfigurationError(Exception):
    """A configuration that cannot be found or trained; the message is one sentence with place, fault and remedy."""
