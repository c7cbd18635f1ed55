"""More addresses for bigger instances: how many, on which network interfaces, and how the kernel routes them."""
