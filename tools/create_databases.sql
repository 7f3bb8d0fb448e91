-- Run once by the postgres image: one database for each service that keeps data.
CREATE DATABASE booking;
CREATE DATABASE policy;
CREATE DATABASE notifier;
CREATE DATABASE meetings;
