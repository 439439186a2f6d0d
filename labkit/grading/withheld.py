"""What stands in place of a module that an exercise asks for.

In a sandbox this file is laid over the module's own, so that there is nothing else to be found;
without one (`Trusted`) the import system is led here. Whoever imports the module runs this line.
"""

raise ImportError(
    f"{__name__} is what the exercise asks you to write, and cannot be imported where it is graded",
    name=__name__,
)
