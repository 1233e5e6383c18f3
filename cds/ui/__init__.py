"""What the pages show: values, and the callables that pages are given. No web framework, no store."""
