"""Networks and layers, one file a family. Generators map latents to images, discriminators images to logits."""
