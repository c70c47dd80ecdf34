DROP TABLE vault.access_tile;
