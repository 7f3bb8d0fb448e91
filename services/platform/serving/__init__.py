"""How a program answers: gRPC and HTTP servers, who calls and what they may, errors, pages."""
