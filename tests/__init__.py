"""The tests; a package, so that one test folder can use another's references (`from tests.reference import formulas`)."""
