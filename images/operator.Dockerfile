FROM scratch
COPY operator /usr/bin/operator
ENV PATH=/usr/bin
ENTRYPOINT ["operator"]
