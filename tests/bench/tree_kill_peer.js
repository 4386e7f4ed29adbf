// Kills what is below each pid that comes in on a line, and answers with one.
'use strict';

const kill = require('tree-kill');

require('readline').createInterface({ input: process.stdin }).on('line',
    (line) => kill(Number(line), 'SIGTERM', (err) => {
        process.stdout.write(err ? 'failed\n' : 'done\n');
    }));
