"""django-shared-inbox: staff talk with customers over WhatsApp and SMS inside the Django admin."""

__version__ = "0.1.0"
