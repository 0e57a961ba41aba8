# To be written with the compiler.
exit 1
