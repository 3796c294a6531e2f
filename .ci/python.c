/* Python as a program that is linked with Python's shared library.

   Debian's own program contains Python instead. When R is loaded into it, reticulate looks for the
   library that Python came from, finds the program, and cannot load that. */
#include <Python.h>

int main(int argc, char **argv) { return Py_BytesMain(argc, argv); }
