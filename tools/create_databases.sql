-- Run once by the postgres image: one database for each service that keeps data.
-- made by `python -m tools.derived`: databases
CREATE DATABASE policy;
CREATE DATABASE meetings;
CREATE DATABASE directory;
CREATE DATABASE booking;
CREATE DATABASE notifier;
-- end of databases
