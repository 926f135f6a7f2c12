"""Tests of the image and of what kubectl makes of k8s/."""
