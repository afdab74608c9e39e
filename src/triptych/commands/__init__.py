"""One short file for each command, one public function in each."""
