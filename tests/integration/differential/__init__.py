"""What the differential test is made of: generators, peers, comparison, the table of accepted differences, shrinking."""
