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

runner     a whole class: what is done is skipped, what is graded is kept at once
crew       graders in processes of their own, replaced when they die
grader     one submission: read, repaired, run, checked, written up
submission who handed in what, in the layouts that people have
reading    from a stranger's file to the cells of a notebook
repair     a clumsy notebook put right, and told; `source` reads cells, `names` guesses none
result     the record of one submission, between grader and gradebook
store      the files of a run, and what of them is still good
sheet      grades.csv
page       a student's page; `pagestyle` is how it looks, `drawing` its pictures

What a sandbox promises, and what it cannot, is in docs/grading.md.
"""
