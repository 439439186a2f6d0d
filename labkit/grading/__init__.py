"""Grading: other people's code, run where it can do no harm, and judged from outside.

sandbox    `Sandbox` and `Trusted`: a submission's code behind the seam that checks know
outcomes   how each cell of it went
limits     how much it may use
bubblewrap what is inside a sandbox, and whether there can be one here
seccomp    the system calls that are refused inside
process    the process inside, and how it is ended
pipe       frames on the two pipes
worker     what runs inside, beside the student's code
withheld   what stands in place of a module that an exercise asks for
nocheck    what stands in place of `check`

What a sandbox promises, and what it cannot, is in docs/grading.md.
"""
