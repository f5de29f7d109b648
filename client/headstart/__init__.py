"""Client of Headstart: declarative fine-tuning of pretrained encoders as a service."""
